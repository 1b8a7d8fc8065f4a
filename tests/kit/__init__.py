"""What tests are made of: a clock that can be set, devices with real keys, real servers."""
