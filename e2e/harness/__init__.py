"""What the end-to-end tests stand on: the two programs, a raw HTTP client, and the SDKs."""
