// The description of the interface, as a running Tollgate serves it: it is valid, and the client that is
// made from it compiles without a doubt and gets its answers.
//
// Environment: TOLLGATE_URL, TOLLGATE_KEY (may check), RUN_ID. Run from the folder that npm installed into.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Validator } from '@seriousme/openapi-schema-validator';
import openapiTS, { astToString } from 'openapi-typescript';

import { Tally } from './tally.mjs';

const { TOLLGATE_URL: url, TOLLGATE_KEY: key, RUN_ID: run } = process.env;
const here = dirname(fileURLToPath(import.meta.url));
const tally = new Tally('openapi');

const description = await (await fetch(`${url}/openapi.json`)).json();

await tally.part('the description', async () => {
  const judged = await new Validator().validate(structuredClone(description));
  tally.check('the description is valid', [judged.valid, judged.errors ?? []], [true, []]);
});

await tally.part('the generated client', async () => {
  writeFileSync(join(here, 'openapi.d.ts'), astToString(await openapiTS(description)));
  const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2022'];
  const compiled = spawnSync(process.execPath, [compiler, ...options, 'openapi_client.mts'], {
    cwd: here,
    encoding: 'utf8',
  });
  tally.check('it compiles in strict mode', [compiled.status, compiled.stdout], [0, '']);
  const { ask } = await import('./openapi_client.mjs');
  const told = await ask(url, key, `${run}_nobody`);
  tally.check('it asks for one feature, and twice in a batch', told.batch, [told.canAccess, told.canAccess]);
  tally.check('an account nobody knows lacks it', [told.canAccess, told.code], [false, 'account_unknown']);
  tally.check('an unknown feature is refused by its code', told.refused, 'unknown_feature');
});

tally.finish();
