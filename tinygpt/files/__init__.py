"""Writing files atomically, and opening untrusted files safely."""
