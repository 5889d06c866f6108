/** What a person sees who opens the server in a browser. */
import type { Result } from '../../protocol/catalogue/catalogue.ts'

export type Endpoints = Result<'auth.login'>['endpoints']

export function buildLandingPage({ version, endpoints }: { version: string; endpoints: Endpoints }): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>wochat</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem } pre { overflow-x: auto }</style>
<h1>wochat ${escapeHtml(version)}</h1>
<p>A messaging server that speaks MQTT. It is running.</p>
<ul>
<li>MQTT: <code>${escapeHtml(endpoints.mqtt)}</code></li>
<li>MQTT over WebSocket: <code>${escapeHtml(endpoints.ws)}</code></li>
<li>HTTP: <code>${escapeHtml(endpoints.http)}</code>, operations by <code>POST /v1/{operation}</code>: <a href="/v1/openapi.json">OpenAPI document</a></li>
<li><a href="/.well-known/jwks.json">Keys of its tokens</a></li>
</ul>
<p>Log in with <code>auth.requestCode</code> and <code>auth.login</code>; the access token is the password of MQTT:</p>
<pre>mosquitto_sub -q 1 -c -i {uid}/phone -u {uid} -P "$ACCESS_TOKEN" -t 'u/{uid}/inbox'</pre>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
