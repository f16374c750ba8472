# A mail server for the tests: what it takes is a line of JSON on its output. Arguments: port, certificate,
# key, how (starttls, tls, none), user and password, and an address where it is not 127.0.0.1.
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, cert, key, how, user, password = sys.argv[1:7]
host = sys.argv[7] if len(sys.argv) > 7 else "127.0.0.1"


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 " + address + " is unknown"
        if address.startswith("later@"):
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None or how == "tls",
            "login": session.authenticated, "data": envelope.content.decode("utf-8"),
        }), flush=True)
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=ok, handled=False)


async def main():
    context = None
    if how != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)

    def make():
        return SMTP(
            Handler(), hostname="mail.test", enable_SMTPUTF8=False,
            tls_context=context if how == "starttls" else None, require_starttls=how == "starttls",
            authenticator=login if user else None, auth_required=bool(user), auth_require_tls=how == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(make, host, int(port), ssl=context if how == "tls" else None)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
