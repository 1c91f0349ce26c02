"""The web console: what a person does in a browser, over the same use cases and rights as the API.

Belongs here: pages by subject (`pages/`), templates, signing in, what a form is. Does not belong here:
any rule of the product (`domain`), any right (`domain.access`), any query (`stores`), anything that the
API does too (`usecases`). Pages are rendered on the server and work without script; the one script
(`static/console.js`) makes progress move and the schedule's preview follow the form.
"""
