"""The long run: a steady mixed load, watched for what grows and what goes wrong."""
