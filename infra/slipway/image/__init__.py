"""The image of the app: built, prebuilt, or promoted from another stack, and named by its content.

Another way to build or to push an image belongs here; what a container of it may do is service/pod.py's.
"""
