"""The cluster of a stack: the connection, a snapshot of its objects, field ownership, and the masking of secrets.

Everything that sends a request to the API server for a verb belongs here; what the answers mean belongs to diagnosis.
"""
