"""An account with something of everything that has an id, for tests that mix accounts up."""

import random
import uuid
from dataclasses import dataclass, field

import httpx

from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, vouched
from tests.kit.keys import new_key
from tests.kit.pair import paired
from tests.kit.recovery import Phrase

ITEMS = 6


@dataclass
class Party:
    """One user: two devices, items, cursors, pairings, and what was said on the way."""

    device: Device
    second: Device
    items: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    pairings: list[Pairing] = field(default_factory=list)
    challenge: str = ""
    """One that was spent."""
    refresh_tokens: list[str] = field(default_factory=list)
    ciphertexts: list[str] = field(default_factory=list)
    wrapping_key: str = ""
    phrase: Phrase = field(default_factory=Phrase)

    @classmethod
    async def of(cls, http: httpx.AsyncClient, clock: SetClock) -> "Party":
        device = Device(http, clock=clock)
        wrapping = new_key()
        body = await device.registration(**vouched(device.key, wrapping, device.origin))
        answer = await device.call("POST", "/auth/register", body, token=None)
        device.session = answer.raise_for_status().json()
        second = await paired(device, Device(http, clock=clock))
        made = cls(device, second, challenge=body["challenge"], wrapping_key=wrapping.pem)
        made.refresh_tokens = [device.session["refresh_token"], second.session["refresh_token"]]
        (await made.phrase.put(device)).raise_for_status()
        await made._write()
        for state in ("open", "joined", "approved"):
            pairing = await Pairing.open(device, Device(http, clock=clock))
            made.pairings.append(await pairing.until(state))
        return made

    async def _write(self) -> None:
        for number in range(ITEMS):
            collection = ("entries", "memories", "tags")[number % 3]
            change = self.device.change(str(uuid.uuid4()), collection=collection)
            answer = (await self.device.push(change)).raise_for_status().json()
            self.items.append(change["id"])
            self.ciphertexts.append(change["encrypted_data"])
            self.cursors.append(answer["cursor"])
        self.cursors.append((await self.device.pull()).json()["cursor"])

    @property
    def devices(self) -> list[Device]:
        return [self.device, self.second]

    def secrets(self) -> set[str]:
        """Everything that no answer to somebody else may hold."""
        found = {self.device.user_id, self.challenge, self.wrapping_key.split("\n")[1]}
        for each in self.devices:
            found |= {each.id, each.key.thumbprint_text, each.key.pem.split("\n")[1]}
            found |= {each.session["access_token"], each.session["refresh_token"]}
        kept = self.phrase.kept()
        found |= {kept["locator"], kept["authenticator_hash"], kept["bundle"]}
        for pairing in self.pairings:
            found |= {pairing.id, pairing.nonce, pairing.join_fields["mac"]}
            found |= {pairing.approval["ciphertext"], pairing.new.key.pem.split("\n")[1]}
        return found | {*self.items, *self.cursors, *self.ciphertexts}

    def some(self, chance: random.Random) -> Device:
        return chance.choice(self.devices)
