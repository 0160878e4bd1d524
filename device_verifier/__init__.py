"""The device: decides, fetches, writes A/B slots, drives boot loaders, reports."""
