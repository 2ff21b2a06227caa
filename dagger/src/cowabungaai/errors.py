# SPDX-License-Identifier: Apache-2.0
"""The module's exception family; the message names the input, what was expected, and what to do."""


class PipelineError(Exception):
    """A failure that the user can understand and act on."""


class CatalogError(PipelineError):
    """A service.yaml is wrong, or a name is not in the catalog."""


class BuildError(PipelineError):
    """An image could not be built, or is not as its service.yaml promises."""


class CannotBuildError(BuildError):
    """Nothing is wrong with the sources, but this machine lacks what building an image takes."""


class StepError(PipelineError):
    """A step failed for one or more services."""


class TestFailureError(PipelineError):
    """Tests failed: a service's own, or the conformance suite."""

    __test__ = False  # pytest would take the name for that of a class of tests


class DatabaseError(PipelineError):
    """There is no vulnerability database, or it is too old, or not as it should be."""


class IgnoreFileError(PipelineError):
    """The file of findings that are accepted is wrong."""


class ScanError(PipelineError):
    """A scan could not look, or found what may not be."""


class SbomError(PipelineError):
    """A software bill of materials lacks what is in its image."""


class PublishError(PipelineError):
    """Images could not be published: a registry, credentials, a gate, or the sending itself."""


class ManifestError(PipelineError):
    """Manifests of a deployment repository could not be updated."""


class DeploymentError(PipelineError):
    """An environment that services are deployed to is unknown, or its description is wrong."""


class ReproductionError(PipelineError):
    """What is built here is not what another machine built, or its report cannot be read."""


class ReleaseError(PipelineError):
    """A release is not as it should be, or its report cannot be made."""


class ProofError(PipelineError):
    """A bundle cannot be installed without a network, or does not answer there as it must."""
