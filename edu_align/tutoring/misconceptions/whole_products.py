"""Systematic errors in the multiplication of whole numbers."""

from random import Random

from edu_align.tutoring.draw import digits, fill, from_digits, redrawn
from edu_align.tutoring.misconceptions.whole_questions import PRODUCTS
from edu_align.tutoring.types import Case, Misconception


def carry_added_before_multiplying(a: int, b: int) -> int:
    """Two-digit `a` times one-digit `b`: the carry is added to the tens digit, and the sum is multiplied."""
    carry, ones = divmod(a % 10 * b, 10)
    return from_digits([ones, (a // 10 + carry) * b])


def placeholder_zero_missing(a: int, b: int) -> int:
    """`a` times two-digit `b`: both partial products are added as if both digits of `b` were ones."""
    return a * (b % 10) + a * (b // 10)


def zero_times_n_is_n(a: int, b: int) -> int:
    """`a` times one-digit `b`, with 0 * b = b in the columns of `a` that hold a zero; carries are right."""
    carry, result = 0, []
    for digit in digits(a):
        carry, ones = divmod((digit * b if digit else b) + carry, 10)
        result.append(ones)
    return from_digits([*result, carry])


def _draw_carry_added_first(rng: Random) -> Case | None:
    a, b = rng.randint(13, 89), rng.randint(3, 9)
    ones, tens = a % 10, a // 10
    carry, rest = divmod(ones * b, 10)
    if carry == 0:
        return None
    wrong = carry_added_before_multiplying(a, b)
    return Case(
        question=fill(rng, PRODUCTS, a=a, b=b),
        answer=str(a * b),
        wrong_answer=str(wrong),
        work=(
            f"Ones: {ones} * {b} = {ones * b}, so I wrote {rest} and carried {carry}.",
            f"Tens: {tens} + {carry} = {tens + carry}, and {tens + carry} * {b} = {(tens + carry) * b}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="multiplying with a carry",
        place=f"the tens column, where the carried {carry} comes in",
        cause=f"you added the carried {carry} before you multiplied, so it was multiplied by {b} as well",
        probes=(
            f"Where does the carried {carry} come from, and has it already been multiplied by {b}?",
            f"How many tens are there in {a} before anything is carried?",
            f"What is {10 * tens} * {b}, and how does that help with the tens?",
        ),
        hints=(
            f"The carried {carry} is already part of a product, so it is only added on.",
            f"You can split {a} into {10 * tens} and {ones} and multiply each part.",
            "In every column the order is: multiply first, then add what was carried.",
        ),
        actions=(
            f"multiply {tens} by {b} first and add the carried {carry} afterwards",
            f"write {10 * tens} * {b} and {ones} * {b} on two lines",
            f"draw a rectangle {a} wide and {b} high and cut it into tens and ones",
        ),
        solution=(
            f"Ones: {ones} * {b} = {ones * b}, write {rest} and carry {carry}.",
            f"Tens: {tens} * {b} = {tens * b}, and {tens * b} + {carry} = {tens * b + carry}.",
            f"{a} * {b} = {a * b}",
        ),
        wrong_place=f"the ones column, {ones} * {b} = {ones * b}",
    )


def _draw_placeholder_zero_missing(rng: Random) -> Case | None:
    a, b = rng.randint(12, 89), rng.randint(21, 69)
    if 0 in (a % 10, b % 10):
        return None
    tens, ones = divmod(b, 10)
    wrong = placeholder_zero_missing(a, b)
    return Case(
        question=fill(rng, PRODUCTS, a=a, b=b),
        answer=str(a * b),
        wrong_answer=str(wrong),
        work=(
            f"First line: {a} * {ones} = {a * ones}.",
            f"Second line: I multiplied by the {tens} of {b} and wrote {a * tens} straight under {a * ones}.",
            f"Then I added: {a * ones} + {a * tens} = {wrong}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="long multiplication",
        place=f"the second line, where you multiplied by the {tens} of {b}",
        cause=f"you treated the {tens} as {tens} ones, although it stands for {tens} tens",
        probes=(
            f"What is the {tens} in {b} really worth?",
            f"Which is larger, {a} * {ones} or {a} * {10 * tens}, and do your two lines show that?",
            f"About how much is {a} * {10 * tens}, and does {wrong} come near it?",
        ),
        hints=(
            f"Multiplying by the tens digit of {b} means multiplying by {10 * tens}.",
            "Each line of a long multiplication has to be lined up with the value of its digit.",
            f"The answer must be larger than {a} * {10 * tens} alone.",
        ),
        actions=(
            f"split {b} into {10 * tens} and {ones} and multiply {a} by each part",
            "write the value of the digit next to each line before you multiply",
            f"estimate the product by rounding {a} and {b} to tens",
        ),
        solution=(
            f"{a} * {ones} = {a * ones}.",
            f"{a} * {10 * tens} = {a * 10 * tens}.",
            f"{a * ones} + {a * 10 * tens} = {a * b}",
        ),
        wrong_place=f"the first line, {a} * {ones} = {a * ones}",
    )


def _draw_zero_times_n(rng: Random) -> Case | None:
    a, b = 100 * rng.randint(1, 9) + rng.randint(2, 9), rng.randint(2, 9)
    ones, hundreds = a % 10, a // 100
    carry = ones * b // 10
    wrong = zero_times_n_is_n(a, b)
    middle = b + carry
    plus = f", and with the carried {carry} that is {middle}" if carry else ""
    top = f"{hundreds} * {b} = {hundreds * b}" + (
        f", and with the carried 1 that is {wrong // 100}" if middle > 9 else ""
    )
    return Case(
        question=fill(rng, PRODUCTS, a=a, b=b),
        answer=str(a * b),
        wrong_answer=str(wrong),
        work=(
            f"Ones: {ones} * {b} = {ones * b}.",
            f"Tens: 0 * {b} = {b}{plus}.",
            f"Hundreds: {top}.",
            f"My answer is {wrong}",
        ),
        wrong_step=1,
        topic="multiplying a number that has a zero in it",
        place=f"the tens column, 0 * {b}",
        cause=f"you wrote {b} as if multiplying by zero left the {b} as it is",
        probes=(
            f"If you have {b} empty boxes, how many things do you have in all?",
            f"How is 0 * {b} different from 0 + {b}?",
            f"How many tens are there in {a}, and how many are there when you take that {b} times?",
        ),
        hints=(
            f"A product with zero counts {b} groups with nothing in them.",
            "Adding zero leaves a number unchanged, but multiplying by zero does not.",
            f"The number {a} can be split into {100 * hundreds} and {ones}, so there is no ten to multiply.",
        ),
        actions=(
            f"write 0 * {b} as a repeated addition of zeros",
            f"multiply {100 * hundreds} by {b} and {ones} by {b} and add the two results",
            "redo the tens column, and keep in mind what was carried into it",
        ),
        solution=(
            f"{100 * hundreds} * {b} = {100 * hundreds * b}, and there are no tens.",
            f"{ones} * {b} = {ones * b}.",
            f"{100 * hundreds * b} + {ones * b} = {a * b}",
        ),
        wrong_place=f"the ones column, {ones} * {b} = {ones * b}",
    )


MULTIPLICATION = (
    Misconception(
        id="carry_added_before_multiplying",
        area="whole numbers",
        name="Adds the carry before multiplying",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): multiplication",
        make=redrawn(_draw_carry_added_first),
    ),
    Misconception(
        id="placeholder_zero_missing",
        area="whole numbers",
        name="Leaves out the placeholder zero in long multiplication",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): multiplication",
        make=redrawn(_draw_placeholder_zero_missing),
    ),
    Misconception(
        id="zero_times_n_is_n",
        area="whole numbers",
        name="Takes zero times a number to be the number",
        source="Ashlock, Error Patterns in Computation (Merrill/Pearson, several editions): multiplication with zero",
        make=redrawn(_draw_zero_times_n),
    ),
)
