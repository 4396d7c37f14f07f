"""Objects and multipart uploads over S3's REST API, for every driver: our own signatures over aiohttp."""
