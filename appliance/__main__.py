"""``python -m appliance`` is the command ``balanced``."""

from appliance.cli.main import main

main()
