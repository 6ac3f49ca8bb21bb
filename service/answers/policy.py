"""The results of `pushprune policy check`."""

from pydantic import Field

from service.answers.base import ApiAnswer


class PolicyCheck(ApiAnswer):
    """The result of checking a policy file."""

    file: str = Field(description="the file")
    valid: bool = Field(description="true if the policy could be put in force")
    rules: int | None = Field(description="number of rules; null if the policy is invalid")
    faults: tuple[str, ...] = Field(description="every fault, a sentence each")
    warnings: tuple[str, ...] = Field(description="a sentence for each rule that can never delete a tag")
