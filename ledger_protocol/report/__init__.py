"""What a device says."""
