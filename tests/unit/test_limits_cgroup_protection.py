import pytest

from limits.cgroups.names import app_path
from limits.cgroups.protection import pass_up, total

SHOP, BLOG, OTHER = app_path("acme", "shop"), app_path("acme", "blog"), app_path("beta", "x")


@pytest.fixture
def tree(tmp_path):
    for app in (SHOP, BLOG, OTHER):
        (tmp_path / app / "workload").mkdir(parents=True)
    for folder in (tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())):
        (folder / "memory.low").write_text("0\n")
    return tmp_path


def promise(tree, app, amount):
    (tree / app / "workload" / "memory.low").write_text(f"{amount}\n")
    assert pass_up(str(tree), app, private=False) == []


def seen(tree, path):
    return (tree / path / "memory.low").read_text().strip()


def test_those_above_are_promised_the_sum_of_those_below(tree):
    promise(tree, SHOP, 1000)
    promise(tree, BLOG, 2000)
    promise(tree, OTHER, 4000)

    assert [seen(tree, path) for path in (SHOP, "tenants/c-acme", "tenants/c-beta", "tenants")] == [
        "1000",
        "3000",
        "4000",
        "7000",
    ]
    assert seen(tree, "") == "0"


def test_root_of_a_private_tree_is_promised_the_sum_too(tree):
    (tree / SHOP / "workload" / "memory.low").write_text("1000\n")

    pass_up(str(tree), SHOP, private=True)

    assert seen(tree, "") == "1000"


def test_promise_that_is_taken_back_is_taken_from_the_sums(tree):
    promise(tree, SHOP, 5)
    promise(tree, SHOP, 0)

    assert seen(tree, "tenants") == "0"


@pytest.mark.parametrize(
    ("texts", "sum_of_them"), [([], "0"), (["1\n", None, "2\n"], "3"), (["1\n", "max\n"], "max")]
)
def test_total_of_files(texts, sum_of_them):
    assert total(texts) == sum_of_them
