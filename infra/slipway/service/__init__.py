"""The objects of one service: configuration, pods, jobs, addresses, scaling, and its canary.

A new object of each service is a function here that `web_service.py` calls. What stores need as well takes a `Scope`.
"""
