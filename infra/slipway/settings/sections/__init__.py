"""The sections of a stack file, one file per subject.

A new setting is a field of one of these classes: camelCase in the file, with its unit in the name and its range in the
type. A rule about two values of one section is a method marked `@section_rule`.
"""
