"""One typed client per service over a one-method transport: HTTP between processes, ASGI inside one."""
