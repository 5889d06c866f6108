/** The instructions of a Dockerfile, by stage. Which of them are valid is the linter's to say. */
export type DockerfileInstruction = { readonly name: string; readonly value: string }

export function readDockerfile(text: string): DockerfileInstruction[][] {
  const logical = text.replace(/^\s*#.*\n/gm, '').replace(/\\\n\s*/g, '')
  const stages: DockerfileInstruction[][] = []
  for (const line of logical.split('\n')) {
    const match = /^([A-Z]+)\s+(.*)$/.exec(line)
    if (match === null) continue
    if (match[1] === 'FROM') stages.push([])
    stages.at(-1)?.push({ name: match[1]!, value: match[2]!.trim() })
  }
  return stages
}
