"""What storage-service asks of an object store, and the drivers that do it."""
