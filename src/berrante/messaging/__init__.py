"""The domain: organizations, instances, contacts, messages, automations and campaigns."""
