"""Deploy the local stack: its stack file, its secrets, `pulumi up` and the first request.

Code belongs here if it is about the stack `local`. How the cluster below it runs belongs to `node`.
"""
