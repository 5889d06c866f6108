/** MQTT over TLS and over WSS, opened by naming a certificate and its key. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { expect, test } from 'vitest'
import { writeCertificate } from '../../services/api/testing/certificate.ts'
import { findFreePort } from '../harness/ports.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

test('a message sent over TLS is received over WSS, and a client that does not trust the certificate stays out', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-tls-'))
  try {
    const { certFile, keyFile } = await writeCertificate(folder)
    const tlsPort = await findFreePort()
    await using server = await startServer({
      env: {
        WOCHAT_TLS_CERT_FILE: certFile,
        WOCHAT_TLS_KEY_FILE: keyFile,
        WOCHAT_MQTT_TLS_PORT: String(tlsPort),
        WOCHAT_CONTACTS_REQUIRED: 'false',
      },
    })
    const login = (uid: string) => ({
      clientId: `${uid}/phone`,
      username: uid,
      password: server.token(uid, 'phone'),
    })
    const ca = readFileSync(certFile)
    const bob = await connectAsync(`wss://127.0.0.1:${server.httpPort}/mqtt`, {
      ...login('bob'),
      ca,
      reconnectPeriod: 0,
    })
    const received: string[] = []
    bob.on('message', (_, payload) => received.push(JSON.parse(payload.toString()).body.text))
    await bob.subscribeAsync('u/bob/inbox', { qos: 1 })
    const url = `mqtts://127.0.0.1:${tlsPort}`
    const alice = await connectAsync(url, { ...login('alice'), ca, reconnectPeriod: 0 })
    await alice.publishAsync('u/alice/send', '{"to":"bob","text":"over TLS"}', { qos: 1 })
    await until(() => received.length > 0, 'the message')
    expect(received).toEqual(['over TLS'])
    await expect(connectAsync(url, { ...login('alice'), reconnectPeriod: 0 }, false)).rejects.toThrow(
      /self-signed/,
    )
    await alice.endAsync()
    await bob.endAsync()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
