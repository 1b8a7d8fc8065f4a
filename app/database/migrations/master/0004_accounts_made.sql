-- How many accounts an address made on a day: only under a keyed hash that is another every day,
-- and only until the day is over.

CREATE TABLE accounts_made (
    day INTEGER NOT NULL,
    stranger BLOB NOT NULL,
    accounts INTEGER NOT NULL
);
CREATE UNIQUE INDEX accounts_made_stranger ON accounts_made (day, stranger);
