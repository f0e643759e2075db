/**
 * The steps of sabre1041/quay-oidc-auth-action (src/main.ts and src/quay-client.ts there), written anew with the same packages
 * and bundled as it is: GitHub's token, the exchange, the outputs. It can't be fetched here. Its user logs in with these outputs.
 */
import { Agent } from "node:https";
import * as core from "@actions/core";
import { HttpClient } from "@actions/http-client";
import { BasicCredentialHandler } from "@actions/http-client/lib/auth";

const username = core.getInput("username", { required: true });
const certificate = Buffer.from(core.getInput("tls-certificate-base64"), "base64").toString();
const identity = await core.getIDToken("quay");
const client = new HttpClient("quay-oidc-auth-action", [new BasicCredentialHandler(username, identity)]);
client._agent = new Agent({ ca: certificate });
const url = `https://${core.getInput("hostname")}/oauth2/federation/robot/token`;
const { result } = await client.getJson(url);
const { exp } = JSON.parse(Buffer.from(result.token.split(".")[1], "base64url").toString());
core.setSecret(result.token);
core.setOutput("token", result.token);
core.setOutput("username", username);
core.setOutput("expiration", new Date(exp * 1000).toISOString());
