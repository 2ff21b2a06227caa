# SPDX-License-Identifier: Apache-2.0
"""Functions that build for an environment."""

from __future__ import annotations

import json
from typing import Annotated, Any

import dagger
from dagger import Doc, function

from cowabungaai import environments, registries
from cowabungaai.environment_routes import routes_in
from cowabungaai.environments import DeployedService, Deployment, EnvironmentName, merged
from cowabungaai.functions.building import Building
from cowabungaai.images import version_of
from cowabungaai.packages import gpu_values
from cowabungaai.published import check_sha, tags_of
from cowabungaai.report import BuildReport

# Values that charts import.
LIBRARY = "packages/common/chart/values.yaml"


class Environments(Building):
    """Images and values for an environment."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def build_for_env(
        self,
        environment: EnvironmentName,
        flavor: Annotated[str, Doc("cpu or gpu; services that lack it are not built")] = "cpu",
        services: Annotated[list[str] | None, Doc("Only these; it fails if one of them cannot be built here")] = None,
        sha: Annotated[str | None, Doc("The commit, 7 to 40 hexadecimal digits, for tags that name it")] = None,
        registry: Annotated[
            str,
            Doc("From which it is deployed: a name of registries.yaml, or host/prefix; the first of them by default"),
        ] = "",
    ) -> dagger.Directory:
        """What build-all leaves, with environment.json and values for charts; the images are the same."""
        described = environments.load(environment)
        if sha is not None:
            check_sha(sha, tagged=True)
        address = registries.resolve([registry] if registry else None)[0].address
        catalog = (await self._project()).catalog
        charts = {spec.name: await self._known(spec.name) for spec in catalog}
        # Of those that are not built here, too: the gateway is told of them. And before minutes of work.
        environments.check_values(described, charts)
        built: dagger.Directory = await self.build_all(flavor, services)
        report = BuildReport.model_validate(json.loads(await built.file("build-report.json").contents()))
        routes = routes_in(described, report, catalog, charts)
        deployed = []
        for row in report.services:
            version = await version_of(self.source, row.service)
            asked = described.tags_for(version, sha)
            tags = tags_of(version, row.flavor, sha, release=False, environment=asked)
            image = f"{address}/{row.service}:{tags[0]}@{row.digest}"
            known = charts[row.service]
            file = None
            if known is not None:
                file = f"values/{row.service}.yaml"
                follows = await gpu_values(self.source, row.service) if row.flavor == "gpu" else {}
                if catalog.get(row.service).kind == "gateway":
                    follows = merged(follows, routes.values)
                values = environments.chart_values(described, row.service, known, image, follows)
                built = built.with_new_file(file, values)
            deployed.append(
                DeployedService(
                    service=row.service, version=version, digest=row.digest, tags=tags, image=image, values=file
                )
            )
        summary = Deployment(
            environment=environment.value,
            sha=sha,
            policy=described.policy,
            services=deployed,
            unrouted=routes.left_out,
        )
        return built.with_new_file("environment.json", summary.model_dump_json(indent=2) + "\n")

    async def _known(self, service: str) -> dict[str, Any] | None:
        """The values that a service's chart has; None where it has no chart."""
        chart = f"packages/{service}/chart"
        if not await self.source.glob(f"{chart}/values.yaml"):
            return None
        texts = [await self.source.file(f"{chart}/{name}").contents() for name in ("Chart.yaml", "values.yaml")]
        library = await self.source.file(LIBRARY).contents() if await self.source.glob(LIBRARY) else ""
        return environments.known_values(texts[0], texts[1], library)
