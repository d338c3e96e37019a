def test_doctor_names_versions_gpu_and_decoders(softcam):
    result = softcam("doctor")
    assert result.code == 0
    for word in ("torch", "timm", "GPU", "JPEG", "PNG", "Python"):
        assert word in result.out


def test_every_command_has_help_with_an_example(softcam):
    for command in ("demo", "import", "train", "explain", "evaluate", "doctor"):
        result = softcam(command, "--help")
        assert result.code == 0
        assert f"softcam {command}" in result.out
