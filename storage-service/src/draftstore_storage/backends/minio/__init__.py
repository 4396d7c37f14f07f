"""The driver `minio`: the minio SDK, for MinIO and everything that speaks S3's API."""
