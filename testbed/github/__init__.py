"""A stand-in for GitHub, small enough to run on one machine and honest enough to run Prow against.

It serves what Prow, PyGithub and the webhook resource of Pulumi's GitHub provider use of GitHub's documented REST API,
the GraphQL searches of Prow's tide and deck, git over HTTP, signed webhook deliveries with their log, and a few pages to
look at. Whatever else is asked is answered 404 and logged as "not implemented by the stand-in". The REST API is served
at `/` (as api.github.com does) and at `/api/v3` (as GitHub Enterprise Server does), GraphQL at `/graphql` and
`/api/graphql`.

    python -m testbed.github --host 127.0.0.1 --port 0 --state .testbed/github

The API served is described at https://docs.github.com/rest (version 2022-11-28).
"""
