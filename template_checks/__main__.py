"""`python -m template_checks`."""

from template_checks.cli.main import main

main()
