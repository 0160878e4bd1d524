"""The attacker of the demo: a lying server, forged blocks, stolen keys, and a device that all of it is tried on."""
