"""The attacker of the demo: a lying server, forged blocks, stolen keys, and a device to try them on."""
