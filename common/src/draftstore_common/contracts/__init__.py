"""Wire models: what travels between services and to clients. Pydantic only, no behaviour beyond validation."""
