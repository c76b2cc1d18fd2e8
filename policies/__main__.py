"""The policy pack of the stack: `pulumi preview --policy-pack policies`."""

from pulumi_policy import EnforcementLevel, PolicyPack
from rules import POLICIES

PolicyPack("prow", POLICIES, enforcement_level=EnforcementLevel.MANDATORY)
