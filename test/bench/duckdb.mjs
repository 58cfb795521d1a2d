// DuckDB's side of `make bench`: one job, in a process and a database of its own.
//
//     node duckdb.mjs JOB ZONE FORM DATABASE CORES [EMAIL]
//
// JOB is scan, count, one (of EMAIL) or full.  Prints JSON: `seconds`, from the
// first statement to the end of the checkpoint; `answer`, what run compares;
// `vm_hwm`, the largest resident set until then, in bytes.  The current folder
// has the node_modules.
//
// The columns are told and the order is not kept.  The readings are joined to
// their customers, with times made after DISTINCT, which was the quickest of
// the ways tried: IN for the join, GROUP BY, integers for the e-mails, and other
// settings of compression, checkpoints and allocation gave the same or less.

import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { DuckDBInstance } = require("@duckdb/node-api");

const [job, zone, form, database, cores, email] = process.argv.slice(2);

const columns = {
    customers: {
        customerName: "VARCHAR",
        email: "VARCHAR",
        phone: "VARCHAR",
        birthDay: "VARCHAR",
        serialNumber: "VARCHAR",
        registrationDate: "BIGINT",
        lastUpdateDate: "BIGINT",
        shareWithResearchAsOfDate: "BIGINT",
        shareWithPublicAsOfDate: "BIGINT",
        shareWithFriendsAsOfDate: "BIGINT",
    },
    accelerometer: { user: "VARCHAR", timestamp: "BIGINT", x: "DOUBLE", y: "DOUBLE", z: "DOUBLE" },
    step_trainer: { sensorReadingTime: "BIGINT", serialNumber: "VARCHAR", distanceFromObject: "INTEGER" },
};

function landing(table) {
    const list = Object.entries(columns[table]).map(([name, type]) => `"${name}": '${type}'`);
    const format = form === "concatenated" ? "unstructured" : "newline_delimited";
    const name = form === "gzip" ? "*.json.gz" : "*.json";
    return `read_json('${zone}/${table}/${name}', format = '${format}', auto_detect = false,
        columns = {${list.join(", ")}})`;
}

// An e-mail in its normal form (told what to trim, trim is three times as slow,
// and there is nothing but spaces at most); epoch milliseconds as a time.
const normal = (text) => `lower(trim(${text}))`;
const time = (ms) => `make_timestamptz(${ms} * 1000)`;

// doc/rules.md, as far as a tidy zone needs it: no rejects, no ties, no device
// that was handed on.
const full = [
    `CREATE TEMP TABLE person AS
    SELECT ${normal("email")} AS email,
        unnest(arg_max({
            customername: customerName, phone: phone, birthday: birthDay, serialnumber: serialNumber,
            registrationdate: registrationDate, lastupdatedate: lastUpdateDate,
            research: shareWithResearchAsOfDate, public: shareWithPublicAsOfDate,
            friends: shareWithFriendsAsOfDate}, lastUpdateDate)),
        bool_or(lastUpdateDate IS NULL OR lastUpdateDate > epoch_ms(now())) AS undated
    FROM ${landing("customers")}
    GROUP BY 1`,
    `CREATE TABLE customer_trusted AS
    SELECT customername, email, phone, try_cast(birthday AS DATE) AS birthday, serialnumber,
        ${time("registrationdate")} AS registrationdate, ${time("lastupdatedate")} AS lastupdatedate,
        ${time("research")} AS sharewithresearchasofdate, ${time("public")} AS sharewithpublicasofdate,
        ${time("friends")} AS sharewithfriendsasofdate
    FROM person
    WHERE research > 0 AND research <= epoch_ms(now()) AND NOT undated`,
    `CREATE TABLE accelerometer_trusted AS
    SELECT email, ${time('"timestamp"')} AS "timestamp", x, y, z
    FROM (
        SELECT DISTINCT t.email, l."timestamp", l.x + 0 AS x, l.y + 0 AS y, l.z + 0 AS z
        FROM ${landing("accelerometer")} l
        JOIN customer_trusted t ON t.email = ${normal('l."user"')})`,
    `CREATE TABLE customer_curated AS
    SELECT * FROM customer_trusted WHERE email IN (SELECT email FROM accelerometer_trusted)`,
    `CREATE TABLE step_trainer_curated AS
    SELECT DISTINCT ${time("sensorReadingTime")} AS sensorreadingtime, serialNumber AS serialnumber,
        distanceFromObject AS distancefromobject
    FROM ${landing("step_trainer")}
    WHERE serialNumber IN (
        SELECT serialnumber FROM person GROUP BY serialnumber
        HAVING count(*) = 1 AND any_value(email) IN (SELECT email FROM customer_curated))`,
    `CREATE TABLE machine_learning_curated AS
    SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z
    FROM step_trainer_curated s
    JOIN customer_curated c ON c.serialnumber = s.serialnumber
    JOIN accelerometer_trusted a ON a.email = c.email AND a."timestamp" = s.sensorreadingtime`,
];

// Sums that do not depend on the order of rows, and that PostgreSQL computes
// alike: run has the same.
const hash = (text) => `sum(('0x' || substr(md5(${text}), 1, 8))::BIGINT)::BIGINT`;
const ms = (column) => `coalesce(epoch_ms(${column})::VARCHAR, '')`;
const tenths = (column) => `round(${column} * 10)::BIGINT`;
const customer = hash(`concat_ws('|', customername, email, phone, birthday::VARCHAR, serialnumber,
    ${ms("registrationdate")}, ${ms("lastupdatedate")}, ${ms("sharewithresearchasofdate")},
    ${ms("sharewithpublicasofdate")}, ${ms("sharewithfriendsasofdate")})`);
const checksums = {
    customer_trusted: customer,
    accelerometer_trusted: hash(`concat_ws('|', email, ${ms('"timestamp"')},
        ${tenths("x")}, ${tenths("y")}, ${tenths("z")})`),
    customer_curated: customer,
    step_trainer_curated: hash(`concat_ws('|', ${ms("sensorreadingtime")}, serialnumber,
        distancefromobject)`),
    machine_learning_curated: hash(`concat_ws('|', serialnumber, ${ms("sensorreadingtime")},
        distancefromobject, ${tenths("x")}, ${tenths("y")}, ${tenths("z")})`),
};

let connection;

async function rows(sql) {
    return (await connection.runAndReadAll(sql)).getRowsJson();
}

const jobs = {
    async scan() {
        const [row] = await rows(`SELECT sum(x), sum(y), sum(z) FROM ${landing("accelerometer")}`);
        return () => row.map((sum) => Math.round(sum * 10));
    },
    // quicker than read_json, by a tenth
    async count() {
        const objects = landing("accelerometer")
            .replace("read_json", "read_json_objects")
            .replace(/, auto_detect.*/s, ")");
        const [row] = await rows(`SELECT count(*) FROM ${objects}`);
        return () => row.map(Number);
    },
    async one() {
        const found = await rows(`SELECT "timestamp", x, y, z FROM ${landing("accelerometer")}
            WHERE "user" = '${email}'`);
        return () => found.map((row) => row.map(Number));
    },
    async full() {
        for (const statement of full)
            await connection.run(statement);
        await connection.run("CHECKPOINT");
        return async () => {
            const answer = {};
            for (const [table, checksum] of Object.entries(checksums)) {
                const [row] = await rows(`SELECT count(*), ${checksum} FROM ${table}`);
                answer[table] = row.map(String);
            }
            return answer;
        };
    },
};

const remove = () => [database, `${database}.wal`].forEach((file) => rmSync(file, { force: true }));

remove();
const instance = await DuckDBInstance.create(database, {
    threads: cores,
    preserve_insertion_order: "false",
});
connection = await instance.connect();
await connection.run("SET TimeZone = 'UTC'");

const began = performance.now();
const check = await jobs[job]();
const seconds = (performance.now() - began) / 1000;

const [, kilobytes] = /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
const answer = await check();
console.log(JSON.stringify({ seconds, answer, vm_hwm: kilobytes * 1024 }));
connection.closeSync();
instance.closeSync();
remove();
