"""The engine of every audit and scorer: who is a member, what attacks score, with intervals."""
