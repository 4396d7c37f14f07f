"""Signatures of AWS Signature Version 4 for S3, made here: no SDK, no network, no disk."""
