"""Settings of those who issue JSON Web Tokens; RUNSTORE_JWT_ISSUERS is a JSON list of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    UrlConstraints,
    field_validator,
    model_validator,
)

from runstore_server.identity.grants import ConfiguredGrant

Algorithm = Literal["RS256", "ES256", "EdDSA"]
HttpsUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], host_required=True)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Rule(BaseModel):
    """Grants for the tokens that have something in a claim."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    claim: Text = Field(description="A claim at the top of the token.")
    equals: Text | None = Field(default=None, description="It is this text.")
    contains: Text | None = Field(default=None, description="It is a list that has this text.")
    matches: Text | None = Field(
        default=None,
        description="It is a text like this, where * stands for any characters but a colon.",
    )
    grants: tuple[ConfiguredGrant, ...] = Field(description="role@pattern, each.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if sum(each is not None for each in (self.equals, self.contains, self.matches)) != 1:
            raise ValueError("must have one of equals, contains and matches")
        if not self.grants:
            raise ValueError("must have grants")
        return self


class IssuerSettings(BaseModel):
    """One issuer: which tokens are its, where its keys are, and what its tokens grant."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: Text = Field(description="The claim iss, exactly.")
    audience: Text = Field(description="What the claim aud is, or has among others.")
    jwks_url: HttpsUrl | None = Field(
        default=None, repr=False, description="Where the keys are fetched from, as a JWK Set."
    )
    jwks_file: Path | None = Field(default=None, description="A file that holds them instead.")
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the CAs that the URL's certificate may be of; unset: well-known.",
    )
    bearer_token_file: Path | None = Field(
        default=None, description="A token that is shown at that URL, read again each time."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256", "EdDSA"),
        description="Keys of others are not used.",
    )
    grants_claim: Text | None = Field(
        default=None,
        description="A claim at the top of the token: a list of role@pattern, or them with blanks"
        " in between.",
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description="Grants by other claims; a token gets those of all that apply."
    )

    @field_validator("jwks_url")
    @classmethod
    def _has_no_password(cls, url: AnyUrl | None) -> AnyUrl | None:
        if url and (url.username or url.password):
            raise ValueError("must not hold a name or a password")
        return url

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("must have one of jwks_url and jwks_file")
        if self.jwks_file and (self.ca_file or self.bearer_token_file):
            raise ValueError("ca_file and bearer_token_file are for a jwks_url")
        if not self.algorithms:
            raise ValueError("must have algorithms")
        if (self.grants_claim is None) == (not self.rules):
            raise ValueError("must have one of grants_claim and rules")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that have to be there when a server starts."""
        named = self.jwks_file, self.ca_file, self.bearer_token_file
        return tuple(path for path in named if path)


def repeated_issuers(issuers: Iterable[IssuerSettings]) -> list[str]:
    """The issuers that are there more than once, sorted."""
    names = [each.issuer for each in issuers]
    return sorted({name for name in names if names.count(name) > 1})
