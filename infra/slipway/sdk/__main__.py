"""python -m slipway.sdk: write lean copies of the SDKs' modules, once after an installation."""

from slipway.sdk import lean_modules

print(f"wrote lean copies of {lean_modules.write()} modules")
