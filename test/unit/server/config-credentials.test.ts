/** What the system hands to a service: named in the configuration, read from the folder of the unit, closed to others. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { openToOthers, withCredentials } from '../../../packages/server/src/config/credentials-directory.ts'
import { databasePlace } from '../../../packages/server/src/config/database.ts'
import { loadConfiguration } from '../../../packages/server/src/config/load.ts'
import { readSecretFile } from '../../../packages/server/src/config/secret-file.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'doorward-config-credentials-'))
const credential = join(folder, 'database.password')
after(() => rm(folder, { recursive: true, force: true }))
afterEach(() => delete process.env['CREDENTIALS_DIRECTORY'])

async function passwordOf(name: string): Promise<string | undefined> {
  const file = join(folder, 'doorward.yaml')
  const database = `{ addresses: ["db.example:5432"], password_file: "${name}" }`
  await writeFile(file, `trust_domain: acme.example\nauthority: { database: ${database} }\n`)
  const place = await databasePlace(deploymentOf(await loadConfiguration(file)))
  return (await place?.password?.())?.reveal()
}

test('a file of $CREDENTIALS_DIRECTORY is read from the folder of the unit', async () => {
  await writeFile(credential, 'from-the-unit\n', { mode: 0o400 })
  process.env['CREDENTIALS_DIRECTORY'] = folder
  equal(await passwordOf('$CREDENTIALS_DIRECTORY/database.password'), 'from-the-unit')
})

test('without such a folder, or without the file in it, there is no secret', async () => {
  const missing = (error: unknown) => isDoorwardError(error, 'database_file')
  await rejects(passwordOf('$CREDENTIALS_DIRECTORY/database.password'), missing)
  process.env['CREDENTIALS_DIRECTORY'] = folder
  await rejects(passwordOf('$CREDENTIALS_DIRECTORY/other'), missing)
})

test('only whole names in keys of files are replaced', () => {
  const document = {
    file: '$CREDENTIALS_DIRECTORY/a',
    list: [
      {
        key_file: '$CREDENTIALS_DIRECTORY/b.pem',
        name: '$CREDENTIALS_DIRECTORY/a',
        profile: '$CREDENTIALS_DIRECTORY/a',
      },
    ],
    ca_file: '$CREDENTIALS_DIRECTORY/../a',
    secret_file: '$CREDENTIALS_DIRECTORY/a/b',
    token_file: 'x/$CREDENTIALS_DIRECTORY/a',
  }
  const replaced = { ...document, file: '/run/c/a', list: [{ ...document.list[0], key_file: '/run/c/b.pem' }] }
  deepEqual(withCredentials(document, '/run/c'), replaced)
  for (const none of [undefined, 'relative']) deepEqual(withCredentials(document, none), document)
})

test('the group may read what belongs to root and nobody can change; all else is for the owner alone', () => {
  const open = (mode: number, uid: number, gid = 0) => openToOthers({ mode: 0o100000 | mode, uid, gid }, [10])
  deepEqual(
    [0o400, 0o600, 0o440].map((mode) => open(mode, 0)),
    [false, false, false],
  )
  deepEqual(
    [0o444, 0o460, 0o640, 0o402].map((mode) => open(mode, 0)),
    [true, true, true, true],
  )
  deepEqual(
    [0o400, 0o600, 0o440, 0o404].map((mode) => open(mode, 1000)),
    [false, false, true, true],
  )
  // Of a group that is neither root's nor ours are others.
  deepEqual(
    [0, 10, 11].map((gid) => open(0o440, 0, gid)),
    [false, false, true],
  )
})

test('a credential of root with mode 0440 is read as systemd hands it over, and one of somebody else is not', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can make files of root')
  await rm(credential, { force: true })
  await writeFile(credential, 'shared\n')
  await chmod(credential, 0o440)
  process.env['CREDENTIALS_DIRECTORY'] = folder
  equal(await passwordOf('$CREDENTIALS_DIRECTORY/database.password'), 'shared')
  equal((await readSecretFile(credential)).reveal(), 'shared')
  await chown(credential, 65_534, 0)
  await rejects(passwordOf('$CREDENTIALS_DIRECTORY/database.password'), (error) =>
    isDoorwardError(error, 'database_file'),
  )
  await rejects(readSecretFile(credential), (error) => isDoorwardError(error, 'secret_file'))
})
