# Your own role, networks and addresses go here. The password of Redis does not: it comes from the environment.
environment     = "staging"
admin_role_arns = ["arn:aws:iam::123456789012:role/platform-admin"]
alarm_emails    = ["platform@example.org"]
