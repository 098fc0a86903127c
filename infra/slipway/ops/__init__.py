"""The `./slipway` command: everything people do with a stack besides `pulumi up`.

A verb is a function in verbs/, the work is in the package of its subject, and every error for a user is a UserError.
"""
