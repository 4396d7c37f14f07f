"""The history of the schema `identity`, run by `python -m draftstore_identity migrate`."""
