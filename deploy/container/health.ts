/** Whether the server of this container answers: exit code 0 or 1, for HEALTHCHECK. */
const TIMEOUT_MS = 2500
const port = process.env.WOCHAT_ADMIN_PORT || '9090'
const host = process.env.WOCHAT_ADMIN_HOST || '127.0.0.1'

// A server that listens on every address is asked on loopback.
const at = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
try {
  const answer = await fetch(`http://${at}:${port}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  if (!answer.ok) process.exitCode = 1
} catch (error) {
  console.error(String(error))
  process.exitCode = 1
}
