"""What proves that an image may run: its vulnerabilities, bill of materials, provenance and signature.

Another kind of evidence belongs here; which images a stack runs is settings/ and releases.py's.
"""
