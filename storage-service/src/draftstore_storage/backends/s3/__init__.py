"""The driver `s3`: boto3, for Amazon S3 and everything that speaks its API."""
