"""The server: models over HTTP, and the page that clinicians read cases on.

- `settings`, `limits`: what the server was told, and how much it takes
- `server`, `connection`, `app`: the process, its connections, the application put together
- `gate`, `security`, `rate`: every request passes here first: host, origin, token, rate, deadline
- `upload`: the body, bounded, in memory
- `decoding`, `decoder`, `wire`: files are decoded in bounded processes of their own
- `models`, `batching`: the predictors, and the thread that runs requests together
- `schemas`, `answer`: what `/v1/predict` answers
- `predict`, `folder`, `status`, `page`: the routes
- `static/`: the page
"""
