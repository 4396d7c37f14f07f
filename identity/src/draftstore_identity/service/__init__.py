"""The rules of identity, by noun. No SQL, no HTTP."""
