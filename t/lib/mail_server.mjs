/* t/lib/mail_server.mjs: a mail server on the loopback address (npm smtp-server), with a certificate of its own
 *
 *   const server = await mailServer({ user: 'app', password: 'secret', refuse: { 'x@b.example': [450, 550] } });
 *
 * It takes mail over STARTTLS (or TLS from the start with `secure`) from who has signed in, and keeps it in `received`:
 * {from, to, raw, user, tls}. `refuse` has, for an address, the reply codes of one RCPT after another; when they are used
 * up, mail to it is taken. `hold` has addresses whose mail is not answered until release(). `certificate` is the file of
 * the certificate, `sockets` the connections that there have been.
 */
import { after } from 'node:test';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SMTPServer } from 'smtp-server';

export async function mailServer({ user, password, refuse = {}, hold = [], secure = false, ...options } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tenon-smtp-'));
  fs.chmodSync(dir, 0o755);
  const certificate = path.join(dir, 'cert.pem');
  const key = path.join(dir, 'key.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=mail.example',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  const received = [];
  const held = [];
  const reply = (code) => Object.assign(new Error(`not now, <somebody@b.example>`), { responseCode: code });
  const server = new SMTPServer({
    secure, key: fs.readFileSync(key), cert: fs.readFileSync(certificate), authOptional: user === undefined, disableReverseLookup: true,
    onAuth: (auth, session, done) => (auth.username === user && auth.password === password ? done(null, { user }) : done(reply(535))),
    onRcptTo: (address, session, done) => {
      const code = refuse[address.address]?.shift();
      done(code === undefined ? null : reply(code));
    },
    onData: (stream, session, done) => {
      const chunks = [];
      stream.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        const to = session.envelope.rcptTo.map((a) => a.address);
        const mail = { from: session.envelope.mailFrom.address, to, raw: Buffer.concat(chunks).toString('utf8'), user: session.user, tls: session.secure, connection: session.id };
        received.push(mail);
        if (hold.includes(to[0])) held.push(done);
        else done();
      });
    },
    ...options,
  });
  server.on('error', () => {}); // a client that goes away in the middle
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const close = () => new Promise((resolve) => server.close(resolve));
  after(async () => {
    await close();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const { port } = server.server.address();
  return {
    received, held, hold, refuse, certificate, port, close,
    url: `${secure ? 'smtps' : 'smtp'}://127.0.0.1:${port}`,
    to: (address) => received.filter((mail) => mail.to.includes(address)),
    release: () => held.splice(0).forEach((done) => done()),
  };
}
