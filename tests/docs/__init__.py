"""The pages people read: what they say of commands, files and settings is so. `python -m tests.docs.flow` draws one."""
